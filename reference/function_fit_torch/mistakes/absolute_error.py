"""Your loss is the mean absolute error (L1Loss); the mean squared error (MSELoss) is asked for.

zh: 你的损失是平均绝对误差（L1Loss），题目要求均方误差（MSELoss）。
"""

PART = "gradients"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.L1Loss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
