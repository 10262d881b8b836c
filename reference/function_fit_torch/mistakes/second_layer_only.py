"""Your optimizer is handed the parameters of layer2 only; hand it model.parameters().

zh: 你只把 layer2 的参数交给了优化器；请传入 model.parameters()。
"""

PART = "trajectory"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.layer2.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
