"""Your loss has a minus sign, so training makes the error larger and larger.

zh: 你的损失前面多了一个负号，训练反而让误差越来越大。
"""

PART = "gradients"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = -criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
