import torch
import torch.nn as nn
import matplotlib.pyplot as plt


def fun1(x):
    return torch.sin(x)


def fun2(x):
    return torch.sin(x**2) + x**3 * torch.cos(x) + 4 * x + 2


def fun3(x):
    return x**4 - x**3 + x**2 - x + 1


class myModel3(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(myModel3, self).__init__()
        self.layer1 = nn.Linear(input_size, hidden_size)
        self.relu = nn.ReLU()
        self.layer2 = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        h1 = self.layer1(x)
        h1_relu = self.relu(h1)
        h2 = self.layer2(h1_relu)
        return h2


def train(fun, model, epochs):
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train).squeeze()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    criterion = nn.MSELoss()
    for epoch in range(epochs):
        output = model(x_train)
        loss = criterion(output, y_train)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return x_train, y_train, model


x_train, y_train, model = train(fun1, myModel3(1, 100, 1), 5000)
plt.plot(x_train, y_train)
plt.plot(x_train, model(x_train).detach())
plt.show()
