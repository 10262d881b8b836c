import matplotlib.pyplot as plt
import torch
import torch.nn as nn


def fun1(x):
    return torch.sin(x)


def fun2(x):
    return torch.sin(x) ** 2 + x**3 * torch.cos(x) + 4 * x + 2


def fun3(x):
    return x**4 - x**3 + x**2 - x + 1


class myModel3(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.layer1 = nn.Linear(input_size, hidden_size)
        self.relu = nn.ReLU()
        self.layer2 = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        return self.layer2(self.relu(self.layer1(x)))


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(100, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for epoch in range(epochs):
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    plt.figure()
    plt.plot(losses)
    plt.title("loss")
    plt.show()
    plt.figure()
    plt.scatter(x_train.numpy(), y_train.numpy(), s=5)
    plt.plot(x_train.numpy(), model(x_train).detach().numpy(), "r")
    plt.show()
    return x_train, y_train, model


model1 = train(fun1, myModel3(1, 100, 1), 3000)[2]
model2 = train(fun2, myModel3(1, 100, 1), 3000)[2]
model3 = train(fun3, myModel3(1, 100, 1), 3000)[2]
