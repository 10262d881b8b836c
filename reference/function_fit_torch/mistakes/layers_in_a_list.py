"""Your layers are in a Python list, where nn.Module does not see them: model.parameters() is empty. Set them as
attributes, or use nn.ModuleList.

zh: 你的层放在 Python 列表里，nn.Module 看不到它们，model.parameters() 是空的。请设成属性，或者用 nn.ModuleList。
"""

PART = "myModel3"


class myModel3(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.layers = [nn.Linear(input_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, output_size)]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
