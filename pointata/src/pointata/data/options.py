"""Options of recordings and data sets, as written on a command line."""


def option_value(text: str) -> bool | int | float | str:
    """A reader's option as written on a command line: true, false, yes and no, then numbers, else the text itself."""
    words = {"true": True, "yes": True, "false": False, "no": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
