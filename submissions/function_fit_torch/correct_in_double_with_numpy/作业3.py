import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def fun1(x):
    return np.sin(x)


def fun2(x):
    return np.sin(x) ** 2 + np.power(x, 3) * np.cos(x) + 4 * x + 2


def fun3(x):
    return x**4 - x**3 + x**2 - x + 1


class myModel3(torch.nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.fc1 = torch.nn.Linear(input_size, hidden_size)
        self.fc2 = torch.nn.Linear(hidden_size, output_size)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


def train(fun, model, epochs):
    x = np.linspace(-10, 10, 100).reshape(-1, 1)
    y = fun(x)  # NumPy 数组
    x_train, y_train = torch.from_numpy(x), torch.from_numpy(y)
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(epochs):
        model.zero_grad()
        loss = ((model(x_train) - y_train) ** 2).mean()
        loss.backward()
        adam.step()
    return x_train, y_train, model


if __name__ == "__main__":
    print(train(fun1, myModel3(1, 64, 1), 100)[2])
