"""Which signatures of a SavedModel hold a function that only runs compiled by XLA."""


def signatures_that_need_xla(meta_graph):
    """Return the set of names of the signatures that a stock server refuses.

    A function traced with `jit_compile=True` is marked `_XlaMustCompile`; TensorFlow Serving, whose XLA is off unless
    asked for, fails such a signature with INTERNAL "XLA compilation disabled" at its first request.

    Args:
        meta_graph: TensorFlow's MetaGraphDef.
    """
    functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
    marked = {name for name, function in functions.items() if function.attr["_XlaMustCompile"].b}
    if not marked:
        return set()
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    return {
        name
        for name, signature in meta_graph.signature_def.items()
        if _functions_below(signature, nodes, functions) & marked
    }


def _functions_below(signature, nodes, functions):
    """Return the names of all functions that the signature's outputs depend on."""
    waiting = [info.name for info in signature.outputs.values()]
    seen_nodes, found = set(), set()
    while waiting:
        node_name = waiting.pop().lstrip("^").partition(":")[0]
        if node_name in seen_nodes or node_name not in nodes:
            continue
        seen_nodes.add(node_name)
        waiting.extend(nodes[node_name].input)
        found |= _called(nodes[node_name])
    unread = list(found)
    while unread:
        function = functions.get(unread.pop())
        for node in function.node_def if function is not None else ():
            new = _called(node) - found
            found |= new
            unread.extend(new)
    return found


def _called(node):
    names = set()
    for attribute in node.attr.values():
        if attribute.HasField("func"):
            names.add(attribute.func.name)
        names.update(function.name for function in attribute.list.func)
    return names
