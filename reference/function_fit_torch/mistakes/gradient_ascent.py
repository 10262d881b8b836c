"""Your optimizer climbs the loss: the sign of the loss, or maximize=True, turns every step round.

zh: 你的优化器在让损失变大：是损失取了负号，还是设了 maximize=True？
"""

PART = "trajectory"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, maximize=True)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
