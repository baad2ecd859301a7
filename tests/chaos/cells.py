"""The cells that the kernel executes: the tour's function, written as a notebook would, and its bills.

The bodies tell the witness file what they do; the file's name comes by the environment.
"""

from __future__ import annotations

from tests.chaos import plan

WITNESS = "CHAOS_WITNESS"
# While this file is in the kernel's folder no body begins.
HALT = "halt"
BATCH = "tips"

CONNECT = f"""
import asyncio, json, os, time

import plotly.data

import ironflow_lab as il

lab = il.connect()
bills = plotly.data.tips().reset_index(names="bill")
assert len(bills) == {plan.BILLS}

witness = os.open(os.environ["{WITNESS}"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

def tell(phase, ctx, step, **more):
    line = {{"phase": phase, "run": ctx.run.id, "step": f"{{ctx.run.id}}:{{step}}:0",
            "attempt": ctx.run.attempt, "process": os.getpid(), **more}}
    os.write(witness, (json.dumps(line) + "\\n").encode())

def witnessed(ctx, step, work):
    while os.path.exists("{HALT}"):
        time.sleep(0.002)
    tell("begin", ctx, step)
    try:
        value = work()
    except BaseException:
        tell("end", ctx, step, good=False)
        raise
    tell("end", ctx, step, good=True)
    return value
"""

DEFINE = f"""
@lab.function("{plan.FUNCTION}", on="{plan.EVENT}", retry={{"max_attempts": 4, "initial_delay": "50ms"}})
async def settle_bill(ctx):
    bill = ctx.event.data
    number = bill["bill"]

    def check():
        assert bill["total_bill"] > 0
        return {{"bill": number, "share": bill["tip"] / bill["total_bill"]}}

    def decide():
        if number % {plan.HOPELESS[0]} == {plan.HOPELESS[1]}:
            raise il.NonRetryableError("the card was reported stolen", code="STOLEN")
        failures = 2 if number % {plan.FAILS_TWICE[0]} == {plan.FAILS_TWICE[1]} else (
            number % {plan.FAILS_ONCE[0]} == {plan.FAILS_ONCE[1]})
        if ctx.run.attempt <= failures:
            raise ConnectionError(f"the bank did not answer attempt {{ctx.run.attempt}}")
        return {{"charged": bill["total_bill"] + bill["tip"]}}

    async def charge():
        while os.path.exists("{HALT}"):
            await asyncio.sleep(0.002)
        tell("begin", ctx, "charge")
        try:
            await asyncio.sleep(0.004)
            paid = decide()
        except BaseException as error:
            tell("end", ctx, "charge", good=False)
            raise
        tell("end", ctx, "charge", good=True)
        return paid

    checked = await ctx.step.run("validate", witnessed, ctx, "validate", check)
    paid = await ctx.step.run("charge", charge)
    await ctx.step.sleep("rest", 0.1)
    return await ctx.step.run("receipt", witnessed, ctx, "receipt", lambda: {{**checked, **paid}})
"""

EMIT = f"""
lab.emit_frame("{plan.EVENT}", bills, key="{BATCH}")
"""
