"""Your x_train goes from -1 to 1; the sheet asks for -10 to 10.

zh: 你的 x_train 取自 -1 到 1，题目要求 -10 到 10。
"""

PART = "gradients"


def train(fun, model, epochs):
    x_train = torch.linspace(-1, 1, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
