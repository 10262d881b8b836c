"""Your x_train is arange(-10, 10, 0.2): it ends at 9.8. linspace(-10, 10, 100) has both ends.

zh: 你的 x_train 是 arange(-10, 10, 0.2)，到 9.8 就结束了；linspace(-10, 10, 100) 两端都包含。
"""

PART = "gradients"


def train(fun, model, epochs):
    x_train = (-10 + 0.2 * torch.arange(100)).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
