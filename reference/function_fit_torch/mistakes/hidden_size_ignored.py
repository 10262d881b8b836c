"""Your layers have 100 hidden units whatever hidden_size says.

zh: 不管 hidden_size 是多少，你的层里总是 100 个隐藏单元。
"""

PART = "myModel3"


class myModel3(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.layer1 = nn.Linear(input_size, 100)
        self.relu = nn.ReLU()
        self.layer2 = nn.Linear(100, output_size)

    def forward(self, x):
        h1 = self.layer1(x)
        h1_relu = self.relu(h1)
        return self.layer2(h1_relu)
