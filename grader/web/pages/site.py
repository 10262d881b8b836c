"""All pages in one router."""

from fastapi import APIRouter

from grader.web.pages import account, staff, student

router = APIRouter()
for part in (account, student, staff):
    router.include_router(part.router)
