"""Your loss compares the prediction with x_train; it should be y_train.

zh: 你的损失比较的是预测和 x_train，应当和 y_train 比较。
"""

PART = "gradients"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), x_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
