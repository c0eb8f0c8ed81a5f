NAME = "evaluation.html"
def page(metrics): return "x"
