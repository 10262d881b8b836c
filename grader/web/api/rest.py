"""The whole of the API in one router."""

from fastapi import APIRouter

from grader.web.api import courses, grades, health, members, regrades, statistics, submissions, tokens, uploads

router = APIRouter()
for part in (uploads, submissions, courses, grades, regrades, statistics, members, tokens, health):
    router.include_router(part.router)
