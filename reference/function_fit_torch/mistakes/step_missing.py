"""Your loop never calls optimizer.step(), so nothing is updated.

zh: 你的循环里没有 optimizer.step()，参数从来没有更新。
"""

PART = "trajectory"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
    return x_train, y_train, model
