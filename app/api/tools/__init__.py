"""Tools that a model may call, whatever the dialect in which they were sent.

A route makes a ``Toolbox`` and ``Turn``s of its request, shows both to the model by
``Toolbox.messages``, constrains the output by ``Toolbox.grammar`` and reads it with a
``ToolCallReader``.
"""
