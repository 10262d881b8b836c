"""Your __init__ sets layers before super().__init__() has been called; that call comes first.

zh: 你的 __init__ 还没有调用 super().__init__() 就开始设置层；这个调用要放在最前面。
"""

PART = "myModel3"


class myModel3(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        self.layer1 = nn.Linear(input_size, hidden_size)
        self.relu = nn.ReLU()
        self.layer2 = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        h1 = self.layer1(x)
        h1_relu = self.relu(h1)
        return self.layer2(h1_relu)
