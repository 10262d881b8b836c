"""Your layer1 takes output_size numbers and your layer2 gives input_size: the two are swapped.

zh: 你的 layer1 接收 output_size 个数，layer2 给出 input_size 个数：两者写反了。
"""

PART = "myModel3"


class myModel3(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.layer1 = nn.Linear(output_size, hidden_size)
        self.relu = nn.ReLU()
        self.layer2 = nn.Linear(hidden_size, input_size)

    def forward(self, x):
        h1 = self.layer1(x)
        h1_relu = self.relu(h1)
        return self.layer2(h1_relu)
