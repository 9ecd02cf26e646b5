from enum import StrEnum


class ProblemErrorsItemIn(StrEnum):
    BODY = "body"
    HEADERS = "headers"
    PARAMS = "params"
    QUERYSTRING = "querystring"

    def __str__(self) -> str:
        return str(self.value)
