"""Starting and ending in one process: loopback only, ports and folders that cannot be had, nothing left behind."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from ironflow_lab.errors import ServerStartError
from ironflow_lab.server.app import ServeConfig, listen, serve
from ironflow_lab.server.store.database import FILE
from ironflow_lab.testing import LocalServer
from tests.conformance.plain import Plain


class TestListening:
    @pytest.mark.parametrize("host", ["0.0.0.0", "", "example.com", "192.168.0.1", "::", "fe80::1", "localhost."])
    def test_only_loopback(self, host: str) -> None:
        with pytest.raises(ServerStartError, match=r"127\.0\.0\.1 only"):
            listen(host, 0)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
    def test_loopback(self, host: str) -> None:
        with listen(host, 0) as listener:
            assert listener.getsockname()[0].startswith("127.")

    def test_answers_leave_at_once(self) -> None:
        """Only for a socket whose protocol is named does the event loop switch Nagle's algorithm off."""
        with listen("127.0.0.1", 0) as listener:
            assert listener.proto == socket.IPPROTO_TCP

    def test_a_port_in_use(self) -> None:
        with listen("127.0.0.1", 0) as listener:
            port = listener.getsockname()[1]
            with pytest.raises(ServerStartError, match=rf"port {port} .*choose another with --port, or 0 for any"):
                listen("127.0.0.1", port)


class TestServing:
    async def test_it_ends_when_told_and_frees_its_port(self, tmp_path: Path) -> None:
        stop, urls = asyncio.Event(), asyncio.Queue[str]()
        config = ServeConfig(data_dir=tmp_path / "new" / "folder", port=0, on_ready=urls.put_nowait)
        serving = asyncio.ensure_future(serve(config, stop=stop))
        url = await urls.get()
        assert (await asyncio.to_thread(Plain(url).rest, "GET", "/ready")).status == 200
        stop.set()
        await serving
        listen("127.0.0.1", int(url.rpartition(":")[2])).close()

    async def test_a_key_for_encryption_is_not_taken_in_vain(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("IRONFLOW_MASTER_KEY", "a1" * 32)
        with pytest.raises(ServerStartError, match="cannot encrypt secrets") as refusal:
            await serve(ServeConfig(data_dir=tmp_path / "new", port=0))
        assert "a1a1" not in str(refusal.value)
        assert not (tmp_path / "new").exists()

    async def test_a_failing_announcement_ends_it(self, tmp_path: Path) -> None:
        def fails(url: str) -> None:
            raise ServerStartError("nobody is to know")

        with pytest.raises(ServerStartError, match="nobody is to know"):
            await serve(ServeConfig(data_dir=tmp_path, port=0, on_ready=fails))

    @pytest.mark.parametrize("folder", ["file", "file/below"])
    async def test_a_file_in_place_of_the_folder(self, tmp_path: Path, folder: str) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(ServerStartError, match=r"data folder .*cannot be used"):
            await serve(ServeConfig(data_dir=tmp_path / folder, port=0))

    async def test_a_database_that_cannot_be_used_frees_the_port(self, tmp_path: Path) -> None:
        (tmp_path / FILE).write_bytes(b"some text that is no database at all" * 9)
        with listen("127.0.0.1", 0) as probe:
            port = probe.getsockname()[1]
        with pytest.raises(ServerStartError, match="choose another --data-dir"):
            await serve(ServeConfig(data_dir=tmp_path, port=port))
        listen("127.0.0.1", port).close()

    def test_the_test_server_says_why_it_did_not_start(self, tmp_path: Path) -> None:
        (tmp_path / FILE).write_bytes(b"some text that is no database at all" * 9)
        with pytest.raises(ServerStartError, match="choose another --data-dir"), LocalServer(tmp_path):
            pass

    def test_no_thread_is_left(self, tmp_path: Path) -> None:
        before = set(threading.enumerate())
        with LocalServer(tmp_path) as server:
            Plain(server.url).call("ListRuns", {})
        assert set(threading.enumerate()) <= before
        assert not list(tmp_path.glob("*-wal")), "the log was not folded into the file"
