"""What the server decides, as pure functions of state, command, time and ids."""
