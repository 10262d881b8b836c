"""Your loop does not clear the gradients, so that each backward adds to the ones before: call
optimizer.zero_grad() in every epoch, inside the loop.

zh: 你的循环里没有清零梯度，每次 backward 算出的梯度都加到了之前的梯度上：每一轮都要在循环里调用 optimizer.zero_grad()。
"""

PART = "gradients"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
