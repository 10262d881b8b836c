"""Your y_train has the shape (100,) and the prediction (100, 1): the loss broadcasts them to (100, 100), every
prediction against every target. Make y_train a column too.

zh: 你的 y_train 形状是 (100,)，预测是 (100, 1)：损失里会广播成 (100, 100)，
变成每个预测与每个目标相减。请把 y_train 也变成一列。
"""

PART = "gradients"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train).flatten()
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
