"""Your train takes a step on every ten points, ten in an epoch; the sheet asks for one step an epoch, on all 100.

zh: 你的 train 每 10 个点走一步，一轮走了十步；题目要求每一轮用全部 100 个点走一步。
"""

PART = "trajectory"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        for x, y in zip(x_train.split(10), y_train.split(10), strict=True):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
    return x_train, y_train, model
