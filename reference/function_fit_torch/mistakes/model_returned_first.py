"""Your train returns the model first; the order is x_train, y_train, model.

zh: 你的 train 先返回了模型；顺序应当是 x_train, y_train, model。
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
    return model, x_train, y_train
