import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakeModel } from "../dev/fake_model";
import { Client, PATIENCE_MS } from "../src/model/client";
import { hello } from "../src/model/hello";
import type { Request } from "../src/wire/messages";

let changes = 0;
let client: Client;
let channel: FakeModel;

beforeEach(() => {
  vi.useFakeTimers();
  changes = 0;
  client = new Client(() => changes++);
  channel = new FakeModel({});
  client.attach(channel);
});
afterEach(() => vi.useRealTimers());

const sent = (): Request[] => channel.sent as Request[];
const reply = (request: Request | undefined, result: Record<string, unknown> = {}): void =>
  channel.message({ v: 1, kind: "reply", id: request?.id, ok: true, rev: 1, result });

describe("a request", () => {
  test("gets the reply with its own id, whatever else arrives", async () => {
    const first = client.ask("pause", {}, 3);
    const second = client.ask("stop", {}, 3);
    reply({ id: "somebody-else-1" } as Request);
    reply(sent()[1], { n: 2 });
    reply(sent()[0], { n: 1 });
    expect(await first).toMatchObject({ ok: true, result: { n: 1 } });
    expect(await second).toMatchObject({ ok: true, result: { n: 2 } });
  });

  test("has an id with a prefix that no other page has", () => {
    const other = new Client(() => undefined);
    expect(other.prefix).not.toBe(client.prefix);
    void client.ask("pause", {}, 0);
    expect(sent()[0]?.id).toBe(`${client.prefix}-1`);
    expect(sent()[0]?.id.length).toBeLessThanOrEqual(64);
  });

  test("that waits is spoken of after ten seconds, and a late reply still counts", async () => {
    const request = client.ask("run", { steps: 5 }, 0);
    vi.advanceTimersByTime(PATIENCE_MS + 1);
    expect(client.overdue).toBe(1);
    reply(sent()[0], { burst: 1 });
    expect(await request).toMatchObject({ ok: true, result: { burst: 1 } });
    expect(client.overdue).toBe(0);
    expect(changes).toBeGreaterThanOrEqual(2);
  });

  test("that cannot be sent fails with words, and nothing throws", async () => {
    channel.send = () => {
      throw new Error("Cannot send");
    };
    expect(await client.ask("stop", {}, 0)).toMatchObject({
      ok: false,
      error: { code: "no-kernel", remedy: "Run the cell again." },
    });
    expect(client.connection).toBe("gone");
    expect(await client.ask("stop", {}, 0)).toMatchObject({ ok: false });
  });

  test("sent twice to two views is answered once", async () => {
    const second = new FakeModel({});
    client.attach(second);
    const asked = client.ask("keep", {}, 0);
    const request = second.sent[0] as Request;
    expect(channel.sent).toHaveLength(0);
    for (const model of [channel, second])
      model.message({ v: 1, kind: "reply", id: request.id, ok: true, rev: 1, result: {} });
    expect((await asked).ok).toBe(true);
  });
});

describe("hello", () => {
  test("is said again after 100 ms x attempt until a subshell answers", async () => {
    const greeting = hello(client);
    const attempts: number[] = [];
    for (const ms of [0, 100, 200, 300]) {
      await vi.advanceTimersByTimeAsync(ms);
      const request = sent()[sent().length - 1];
      attempts.push(Number(request?.args.attempt));
      reply(request, { subshell: attempts.length === 4 ? "subshell-7" : null });
    }
    expect(await greeting).toBe("subshell-7");
    expect(attempts).toEqual([1, 2, 3, 4]);
    await vi.advanceTimersByTimeAsync(5000);
    expect(sent()).toHaveLength(4);
  });

  test("is said five times at most, and then there is no subshell", async () => {
    const greeting = hello(client);
    for (let i = 0; i < 20; i++) {
      await vi.advanceTimersByTimeAsync(100);
      for (const request of sent()) reply(request, { subshell: null });
    }
    expect(await greeting).toBeNull();
    expect(sent().map((request) => request.args.attempt)).toEqual([1, 2, 3, 4, 5]);
  });

  test("of a kernel that answers late is still heard", async () => {
    const greeting = hello(client);
    await vi.advanceTimersByTimeAsync(1100);
    reply(sent()[1], { subshell: "subshell-2" });
    expect(await greeting).toBe("subshell-2");
  });
});
