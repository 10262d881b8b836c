"""Your myModel3 is not a subclass of nn.Module, so it has no parameters() and cannot be called: class
myModel3(nn.Module).

zh: 你的 myModel3 没有继承 nn.Module，所以没有 parameters()，也不能直接调用：应写成 class myModel3(nn.Module)。
"""

PART = "myModel3"


class myModel3:
    def __init__(self, input_size, hidden_size, output_size):
        self.layer1 = nn.Linear(input_size, hidden_size)
        self.relu = nn.ReLU()
        self.layer2 = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        h1 = self.layer1(x)
        h1_relu = self.relu(h1)
        return self.layer2(h1_relu)
