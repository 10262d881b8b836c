"""One's own bearer tokens, over REST."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from grader.errors import NotFound
from grader.service import accounts
from grader.service.access import Scope, need_scope
from grader.store.models import Token
from grader.web.api.answers import problems
from grader.web.api.parameters import Id
from grader.web.api.routing import make_router
from grader.web.api.staff_schemas import NewToken, TokenAnswer, TokenList
from grader.web.dependencies import Caller, TokenHolder
from grader.web.schemas import TokenBody

router = make_router("tokens")


def _owner(who: Caller) -> int:
    need_scope(who.actor, Scope.MANAGE)
    if who.actor.user_id is None:
        raise NotFound
    return who.actor.user_id


@router.get("/tokens", summary="My tokens", responses=problems())
def list_tokens(who: TokenHolder) -> TokenList:
    """Those that are not revoked, without their secrets. Needs the scope manage."""
    owner = _owner(who)
    with who.service.store.read() as session:
        rows = accounts.tokens(session, owner)
    return TokenList(items=[TokenAnswer.model_validate(_fields(row)) for row in rows])


@router.post("/tokens", status_code=201, summary="Make a token", responses=problems(409, body=True))
def make_token(who: TokenHolder, body: TokenBody) -> NewToken:
    """It may do no more than the token that makes it. Its secret is shown this once. Needs the scope manage."""
    owner = _owner(who)
    with who.service.store.write() as session:
        made, text = accounts.make_token(session, who.actor, owner, body.name, body.scopes, body.days, who.now)
    return NewToken(**_fields(made), token=text)


@router.delete("/tokens/{id}", status_code=204, response_class=Response, summary="Revoke a token", responses=problems())
def revoke_token(who: TokenHolder, id: Id) -> Response:
    """It works no longer, also when it is the one that this request carries. Needs the scope manage."""
    owner = _owner(who)
    with who.service.store.write() as session:
        accounts.revoke_token(session, who.actor, owner, id, who.now)
    return Response(status_code=204)


def _fields(token: Token) -> dict[str, Any]:
    scopes = [Scope(word) for word in token.scopes.split() if word in list(Scope)]
    return {
        "id": token.id, "name": token.name, "scopes": scopes, "created_at": token.created_at,
        "expires_at": token.expires_at, "last_used_at": token.last_used_at,
    }  # fmt: skip
