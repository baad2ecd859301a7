"""The generator: what it drops, what it renames, what it leaves alone."""

from __future__ import annotations

from textwrap import dedent

from ironflow_lab._codegen.sync import Translator


def translate(source: str) -> str:
    """Return the twin of a dedented source."""
    return Translator().translate(dedent(source))


def test_keywords_go_and_names_change() -> None:
    source = '''
    async def pages(client: AsyncClient) -> AsyncIterator[int]:
        """Ask an AsyncClient; `aclose` it, do not await."""
        async with client as opened:
            async for page in opened.pages():  # async and await stay in comments
                yield await page.read("async")
        await client.aclose()
    '''
    assert translate(source) == dedent(
        '''
    def pages(client: Client) -> Iterator[int]:
        """Ask an Client; `close` it, do not await."""
        with client as opened:
            for page in opened.pages():  # async and await stay in comments
                yield page.read("async")
        client.close()
    '''
    )


def test_every_rule() -> None:
    source = """
    from a._async.b import AsyncB, async_sleep
    class AsyncC(httpx.AsyncByteStream):
        __aenter__ = __aexit__ = __aiter__ = None
    transport.handle_async_request(request)
    """
    assert translate(source) == dedent(
        """
    from a._sync.b import B, sleep
    class C(httpx.SyncByteStream):
        __enter__ = __exit__ = __iter__ = None
    transport.handle_request(request)
    """
    )


def test_similar_names_stay() -> None:
    source = "asyncio.sleep, my_async, Asynchronous, unAsyncX, maclose, aclosed, __aiterx__\n"
    assert translate(source) == source


def test_text_of_any_width_keeps_its_place() -> None:
    source = 'x = "ä€😀", await y, f"{await z} AsyncQ ä"\n'
    assert translate(source).startswith('x = "ä€😀", y, f"{')
    assert " Q ä" in translate(source)


def test_async_only_parts_go() -> None:
    source = """
    a = 1
    # async only: begin
    b = 2
    # async only: end
    c = 3
    if True:
        # async only: begin
        d = 4
        # async only: end
        e = 5
    """
    assert translate(source) == dedent(
        """
    a = 1
    c = 3
    if True:
        e = 5
    """
    )


def test_a_rule_that_never_applies_is_reported() -> None:
    translator = Translator()
    every = translator.unused
    translator.translate("await client.aclose()\n")
    assert set(every) - set(translator.unused) == {r"\baclose\b"}
