// Headrace for browsers: hand work over, and watch what becomes of it. No dependencies.
//
//   import { Headrace } from "/v1/headrace.js";
//   const headrace = new Headrace();
//   const job = await headrace.submit("report", { month: "april" });
//   for await (const event of headrace.events(job.id)) console.log(event.type, event.data);
//   console.log(await headrace.result(job.id));

const AGAIN = new Set([408, 429, 502, 503, 504]);
const SHORTEST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;
const LONGEST_POLL = 25;
const TERMINAL = new Set(["succeeded", "cancelled", "dead"]);

/** What a gateway answered instead of what was asked for (RFC 9457), or that it did not answer. */
export class HeadraceError extends Error {
  constructor(message, { kind = "unreachable", status = 0, problem = {} } = {}) {
    super(message);
    this.name = "HeadraceError";
    this.kind = kind;
    this.status = status;
    this.problem = problem;
  }
}

/** A gateway. */
export class Headrace {
  /**
   * @param {string} url where the gateway is; by default, where this module came from.
   * @param {object} options `key`: an API key, which a page must not show to everybody;
   *   `patience`: milliseconds for which something is tried again.
   */
  constructor(url = new URL("..", import.meta.url).href, { key = null, patience = 30_000 } = {}) {
    this.url = url.replace(/\/+$/, "");
    this.key = key;
    this.patience = patience;
  }

  /**
   * Hand a call over; it is durable when the promise is fulfilled.
   * @param {string} task its name.
   * @param {object} args by parameter name.
   * @param {object} options `queue`, `delay`, `priority` and the others of the gateway.
   */
  async submit(task, args = {}, { idempotencyKey = crypto.randomUUID(), signal, ...options } = {}) {
    const response = await this.#ask("/v1/jobs", {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": `"${idempotencyKey}"` },
      body: JSON.stringify({ task, arguments: args, options }),
      signal,
    });
    return response.json();
  }

  /** The job as it is now. */
  async job(id, { signal } = {}) {
    return (await this.#ask(place(id), { signal })).json();
  }

  /** The job when it is finished, whatever became of it. */
  async wait(id, { signal } = {}) {
    for (;;) {
      const response = await this.#ask(`${place(id)}?wait=${LONGEST_POLL}`, { signal });
      const job = await response.json();
      if (TERMINAL.has(job.state)) return job;
    }
  }

  /** What the job returned; rejects with a HeadraceError of kind "job-failed" if it has not. */
  async result(id, { signal } = {}) {
    const job = await this.wait(id, { signal });
    if (job.state !== "succeeded") {
      const { cause, message } = job.failure ?? { cause: job.state, message: "" };
      throw new HeadraceError(`the job is ${job.state}: ${cause} ${message}`.trim(), {
        kind: "job-failed",
        problem: job,
      });
    }
    if (job.result !== null) return job.result;
    return (await this.#ask(`${place(id)}/result`, { signal })).json();
  }

  /** Cancel the job, or ask its worker to if it runs. */
  async cancel(id) {
    return (await this.#ask(`${place(id)}/cancel`, { method: "POST" })).json();
  }

  /** Make a scheduled job due now, or put a dead one back. */
  async retry(id) {
    return (await this.#ask(`${place(id)}/retry`, { method: "POST" })).json();
  }

  /**
   * Yield what happens to the job until its end: `{ type, data, id }`. After a broken connection
   * it goes on where it was.
   */
  async *events(id, { signal } = {}) {
    const reader = new EventReader();
    for (;;) {
      const headers = { Accept: "text/event-stream" };
      if (reader.lastId) headers["Last-Event-ID"] = reader.lastId;
      const response = await this.#ask(`${place(id)}/events`, { headers, signal });
      if (response.status === 204) return;
      try {
        for await (const text of texts(response)) {
          for (const event of reader.feed(text)) {
            yield event;
            if (event.type === "end") return;
          }
        }
      } catch (error) {
        if (signal?.aborted || error instanceof SyntaxError) throw error;
      }
      reader.restart();
      await sleep(reader.retry, signal);
    }
  }

  async #ask(path, { headers = {}, signal, ...init } = {}) {
    const given = this.key === null ? headers : { ...headers, Authorization: `Bearer ${this.key}` };
    const end = performance.now() + this.patience;
    let pause = SHORTEST_PAUSE;
    for (;;) {
      let response = null;
      let trouble = null;
      try {
        response = await fetch(this.url + path, { ...init, headers: given, signal, cache: "no-store" });
      } catch (error) {
        if (signal?.aborted) throw error;
        trouble = error;
      }
      if (response?.ok) return response;
      const problem = response === null ? {} : await response.json().catch(() => ({}));
      const kind = (problem.type ?? "").split("/").pop();
      const again = response === null || AGAIN.has(response.status) || kind === "idempotency-in-progress";
      pause = nextPause(response, pause);
      if (!again || performance.now() + pause > end) {
        const text = problem.detail ?? problem.title ?? trouble?.message ?? `status ${response?.status}`;
        const told = { kind: kind || undefined, status: response?.status ?? 0, problem };
        throw new HeadraceError(`the gateway did not do it: ${text}`, told);
      }
      await sleep(pause, signal);
    }
  }
}

/** Makes events of text/event-stream (WHATWG HTML 9.2.6). */
class EventReader {
  lastId = "";
  retry = 1000;
  #rest = "";
  #type = "";
  #data = [];
  #id = "";

  *feed(text) {
    this.#rest += text;
    // A CR at the end may be half of a CRLF.
    const held = this.#rest.endsWith("\r") ? "\r" : "";
    const lines = this.#rest.slice(0, this.#rest.length - held.length).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() + held;
    for (const line of lines) {
      const event = this.#line(line);
      if (event !== null) yield event;
    }
  }

  restart() {
    this.#rest = this.#type = "";
    this.#data = [];
    this.#id = this.lastId;
  }

  #line(line) {
    if (line === "") return this.#dispatch();
    const [, name, value] = /^([^:]*)(?::? ?)(.*)$/.exec(line);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
    return null;
  }

  #dispatch() {
    const [type, data] = [this.#type || "message", this.#data];
    this.#type = "";
    this.#data = [];
    this.lastId = this.#id;
    return data.length === 0 ? null : { type, data: JSON.parse(data.join("\n")), id: this.lastId };
  }
}

async function* texts(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function place(id) {
  return `/v1/jobs/${encodeURIComponent(id)}`;
}

function nextPause(response, before) {
  const asked = Number(response?.headers.get("Retry-After") ?? NaN) * 1000;
  const spread = SHORTEST_PAUSE + Math.random() * Math.max(3 * before - SHORTEST_PAUSE, 0);
  return Math.min(Number.isNaN(asked) ? spread : asked, LONGEST_PAUSE);
}

function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
