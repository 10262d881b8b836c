"""The pages for staff, each family of addresses in a module of its own."""

from fastapi import APIRouter

from grader.web.pages.staff_course import router as course
from grader.web.pages.staff_gradebook import router as gradebook
from grader.web.pages.staff_regrades import router as regrades
from grader.web.pages.staff_statistics import router as statistics
from grader.web.pages.staff_students import router as students
from grader.web.pages.staff_system import router as system

router = APIRouter()
for part in (gradebook, students, statistics, regrades, course, system):
    router.include_router(part)
