from enum import StrEnum


class ListCounselorCategoriesAll(StrEnum):
    TRUE = "true"

    def __str__(self) -> str:
        return str(self.value)
