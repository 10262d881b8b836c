"""Your loop runs one epoch less than asked: range(1, epochs) leaves one out.

zh: 你的循环少跑了一轮：range(1, epochs) 少一次。
"""

PART = "trajectory"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(1, epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
