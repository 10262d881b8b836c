"""Your model gets a column, but x_train and y_train come back as 100 numbers in a row; return the columns (100,
1).

zh: 模型用的是一列数据，但你返回的 x_train 和 y_train 是一行 100 个数；请返回 (100, 1) 的列。
"""

PART = "gradients"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train.flatten(), y_train.flatten(), model
