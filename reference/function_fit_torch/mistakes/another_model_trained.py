"""Your train makes a new model and trains that one; the model it is handed stays as it was.

zh: 你的 train 新建了一个模型来训练，传进来的那个一点没变。
"""

PART = "trajectory"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    model = myModel3(1, 100, 1)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
