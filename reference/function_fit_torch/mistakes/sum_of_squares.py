"""Your loss is the sum of the squared errors; the mean is asked for. Adam hardly notices, but the loss and its
gradient are 100 times as large.

zh: 你的损失是平方误差之和，题目要求取平均。Adam 几乎看不出区别，但损失和梯度都大了 100 倍。
"""

PART = "gradients"


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss(reduction="sum")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
