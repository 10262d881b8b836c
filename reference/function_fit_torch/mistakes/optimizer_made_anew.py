"""Your optimizer is made anew in every epoch, so that Adam forgets its running means: make it once, before the
loop.

zh: 你在每一轮里都新建优化器，Adam 的滑动平均就全丢了：请在循环之前只建一次。
"""

PART = "trajectory"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    for _ in range(epochs):
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
