"""Your train takes the model first; it is called as train(fun, model, epochs).

zh: 你的 train 第一个参数是 model；调用方式是 train(fun, model, epochs)。
"""

PART = "gradients"


def train(model, fun, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
