"""The model that your train returns is a copy from before the training.

zh: 你的 train 返回的是训练之前复制的模型。
"""

PART = "trajectory"


import copy


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    before = copy.deepcopy(model)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, before
