// What both pages share: building elements, the session, requests that survive a lost connection, forms, endings.

const page = { signer: null, view: null, status: null, skew: 0, keys: null, linkTimer: 0 };
const PATIENCE_MS = 15000; // one request may take that long before it is tried again
const POLL_MS = 3000; // between two looks at the state while no stream is open
const WARN_MS = 60000; // before the end
const RETRIES_MS = [500, 1000, 2000, 4000, 8000];

/** Build an element; attributes are never event handlers or styles, texts are always texts. */
function element(tag, attributes = {}, ...children) {
  const made = tag === "svg" || tag === "path"
    ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "click") made.addEventListener("click", value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

const place = (id) => document.getElementById(id);

/** Return a panel's heading: the page's first one where no order stands above it. */
const headline = (text) => element(place("order").childElementCount ? "h2" : "h1", {}, text);

/** Show one panel in place of the last one, and bring readers of the screen to its heading. */
function show(...children) {
  place("panel").replaceChildren(...children);
  const heading = place("panel").querySelector("h1, h2");
  if (heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
}

function tell(text) {
  if (place("status").textContent !== text) place("status").textContent = text;
}

function localise() {
  document.documentElement.lang = language;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(language) ? "rtl" : "ltr";
}

function money(order, amount = order.amount) {
  const format = new Intl.NumberFormat(region, { style: "currency", currency: order.currency });
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}

function showOrder() {
  const { order } = page.view;
  const more = [say("asks", { who: order.asks })];
  if (order.reference) more.push(say("reference", { what: order.reference }));
  place("order").replaceChildren(...[
    element("p", { class: "quiet" }, say("payTo")),
    element("h1", {}, element("span", { class: "payee" }, element("bdi", {}, order.payee)), element("span", { class: "amount" }, money(order))),
    order.lines.length ? element("ul", { class: "lines" }, ...order.lines.map((line) => element("li", {},
      element("bdi", {}, line.quantity === 1 ? line.text : `${line.quantity} × ${line.text}`),
      element("span", {}, money(order, line.amount))))) : null,
    ...more.map((line) => element("p", { class: "quiet" }, line)),
  ].filter(Boolean));
  document.title = `${order.payee} · ${money(order)}`;
}

const rest = (ms) => new Promise((done) => setTimeout(done, ms));
const seconds = () => Math.floor((Date.now() + page.skew) / 1000);

/** Send what `make` builds, again and again until there is an answer: the same message, freshly sealed and signed. */
async function insist(make) {
  for (let tries = 0; ; tries += 1) {
    try {
      const answer = await sendOnce(await make());
      if (tries) tell("");
      return answer;
    } catch (problem) {
      if (problem.code === "message_stale" && problem.date && tries < 2) {
        page.skew = Date.parse(problem.date) - Date.now(); // the clock of this device is off: go by the platform's
      } else if (problem.code === "key_unknown" && tries < 2) {
        await begin();
      } else if (problem instanceof Problem && problem.status !== 503) {
        throw problem;
      } else {
        tell(say("offline"));
        await rest(RETRIES_MS[Math.min(tries, RETRIES_MS.length - 1)]);
      }
    }
  }
}

async function sendOnce(request) {
  const { method, target, headers, body } = request;
  const answer = await fetch(target, { method, headers, body, redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS) });
  const told = await answer.json();
  if (answer.ok) return told;
  const problem = new Problem(answer.status, told);
  problem.date = answer.headers.get("date");
  throw problem;
}

function post(target, body = "{}") {
  const idempotencyKey = freshNonce();
  return insist(() => signedRequest(page.signer, "POST", target, body, { idempotencyKey, created: seconds() }));
}

function look() {
  return insist(() => signedRequest(page.signer, "GET", "/page/payment", "", { created: seconds() }));
}

/** Send this page's half, sealed here for the platform and bound to exactly the order that is on the screen. */
async function sendPart(fields) {
  const { view } = page;
  const idempotencyKey = freshNonce();
  const content = { policy: view.policy, element: { kind: "page" }, fields };
  const { payee, amount, currency, reference, lines } = view.order;
  const listed = lines.flatMap((line) => [line.text, String(line.quantity), String(line.amount)]);
  const shown = [view.payment, payee, String(amount), currency, reference, ...listed];
  if (JSON.stringify(shown) !== JSON.stringify(view.bound)) throw new Problem(0, { code: "not_as_shown" });
  await insist(() => {
    const key = newestKey(page.keys, Date.now() + page.skew);
    const options = { bound: shown, idempotencyKey, created: seconds() };
    return sealedRequest(page.signer, key, "/page/parts", content, options);
  });
}

/**
 * Start the session of the link in the fragment. The page puts a nonce of its own behind the secret, so that it finds
 * its session again after a reload, and whoever has only the link does not. Nothing is stored.
 */
async function begin() {
  const [secret, known] = location.hash.slice(1).split(".");
  const nonce = known || freshNonce();
  if (!known) history.replaceState(null, "", `${location.pathname}${location.search}#${secret}.${nonce}`);
  const link = await linkKeys(secret);
  const starter = await macSigner(link.sender, link.key);
  const body = JSON.stringify({ nonce });
  page.view = await insist(() => signedRequest(starter, "POST", "/page/session", body, { created: seconds() }));
  page.skew = page.view.now - Date.now();
  page.keys = await readKeyList(page.view.keys);
  const session = await sessionKeys(link.key, nonce);
  page.signer = await macSigner(session.sender, session.key);
  page.status = page.view.status;
}

/** Follow the payment: by the stream of events, by asking where there is none. Calls `react` on every change. */
async function follow(react) {
  let last = "";
  const changed = (status) => {
    const seen = JSON.stringify(status);
    if (seen === last) return;
    last = seen;
    page.status = status;
    react(status);
  };
  while (!page.status.final) {
    try {
      await readStream(changed);
    } catch (problem) {
      if (problem instanceof Problem && problem.code === "link_refused") return replaced(problem);
    }
    if (page.status.final) return;
    try {
      changed(await look());
    } catch (problem) {
      return replaced(problem);
    }
    await rest(POLL_MS);
  }
}

async function readStream(changed) {
  const request = await signedRequest(page.signer, "GET", "/page/events", "", { created: seconds() });
  const answer = await fetch(request.target, { headers: request.headers });
  if (!answer.ok) throw new Problem(answer.status, await answer.json());
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    for (let end = held.indexOf("\n\n"); end >= 0; end = held.indexOf("\n\n")) {
      const data = held.slice(0, end).split("\n").find((line) => line.startsWith("data: "));
      held = held.slice(end + 2);
      if (data) changed(JSON.parse(data.slice(6)));
    }
  }
}

function replaced(problem) {
  clearInterval(page.linkTimer);
  tell("");
  show(headline(say("failed")), element("p", {}, explain(problem)));
}

function explain(problem) {
  return say(problem.code) || problem.remedy || say("unavailable");
}

/** Say until when; warn before, aloud, when a minute is left. */
function showDeadline() {
  const end = () => page.status.expires_at - page.skew;
  const update = () => {
    if (page.status.final || page.status.state !== "waiting") return place("deadline").replaceChildren();
    const left = end() - Date.now();
    const time = new Date(end()).toLocaleTimeString(region, { hour: "2-digit", minute: "2-digit" });
    const text = left < WARN_MS ? say("soon") || say("expires", { time }) : say("expires", { time });
    if (place("deadline").textContent !== text) place("deadline").textContent = text;
  };
  update();
  setInterval(update, 1000);
}

function qrPicture(rows, label) {
  const dark = rows.flatMap((row, y) => [...row].map((cell, x) => (cell === "1" ? `M${x} ${y}h1v1h-1z` : "")));
  return element("svg", { viewBox: `-4 -4 ${rows.length + 8} ${rows.length + 8}`, class: "qr", role: "img", "aria-label": label },
    element("path", { d: dark.join(""), "shape-rendering": "crispEdges" }));
}

// Forms

const KINDS = {
  pan: { inputmode: "numeric", autocomplete: "cc-number", maxlength: 40 },
  expiry: { inputmode: "numeric", autocomplete: "cc-exp", maxlength: 9 },
  account: { autocomplete: "username", maxlength: 64, autocapitalize: "none", spellcheck: "false" },
  username: { autocomplete: "username", maxlength: 64, autocapitalize: "none", spellcheck: "false" },
  number: { inputmode: "numeric", autocomplete: "one-time-code", maxlength: 12 },
  newName: { autocomplete: "username", maxlength: 64, autocapitalize: "none", spellcheck: "false" },
  contact: { autocomplete: "email", inputmode: "email", maxlength: 254, autocapitalize: "none", spellcheck: "false" },
  newPassword: { type: "password", autocomplete: "new-password", maxlength: 128 },
  secret: { type: "password", autocomplete: "current-password", maxlength: 128 },
  password: { type: "password", autocomplete: "current-password", maxlength: 128 },
  code: { autocomplete: "one-time-code", autocapitalize: "characters", spellcheck: "false", maxlength: 40 },
};
const BRANDS = [[/^4/, "Visa"], [/^(62|81)/, "UnionPay"], [/^(5[1-5]|2[2-7])/, "Mastercard"], [/^3[47]/, "American Express"], [/^35/, "JCB"]];

const folded = (text) => text.normalize("NFKC").trim();
const digits = (text) => folded(text).replaceAll(/[\s\u00a0\u2009-]/g, "");

/** Read one field as the platform takes it, or say what is wrong with it. */
const READERS = {
  pan: (text) => (/^\d{12,19}$/.test(digits(text)) ? { value: digits(text) } : { wrong: "badPan" }),
  expiry: (text) => {
    const found = /^(0[1-9]|1[0-2])\/?(?:20)?(\d\d)$/.exec(digits(text));
    return found ? { value: found[2] + found[1] } : { wrong: "badExpiry" };
  },
  account: (text) => (/^[a-z0-9-]{2,32}:[^\s:]+$/.test(folded(text)) ? { value: folded(text) } : { wrong: "badAccount" }),
  newName: (text) => ({ value: folded(text) }),
  contact: (text) => {
    const phone = digits(text).replaceAll(/[()]/g, "").replace(/^00/, "+");
    if (/^\+[1-9]\d{6,14}$/.test(phone)) return { value: phone };
    return /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(folded(text)) ? { value: folded(text) } : { wrong: "badContact" };
  },
  newPassword: (text) => (text.length >= PASSWORD_MIN ? { value: text } : { wrong: "badPassword" }),
  number: (text) => (/^\d{8}$/.test(digits(text)) ? { value: digits(text) } : { wrong: "badNumber" }),
  code: (text) => {
    const code = digits(text).toUpperCase();
    return /^[2-9A-HJ-NP-Y]{14}$/.test(code) ? { value: code } : { wrong: "badCode" };
  },
};

function field(name, required) {
  const described = element("p", { id: `${name}-hint`, class: "hint" }, say(`${name}Hint`));
  const fault = element("p", { id: `${name}-fault`, class: "fault", hidden: true });
  const input = element(name === "institution" ? "select" : "input", {
    id: name, name, type: name === "institution" ? undefined : "text", required, "aria-describedby": `${name}-hint ${name}-fault`, dir: "auto", ...KINDS[name],
  });
  const brand = name === "pan" ? element("output", { class: "brand", for: name }) : null;
  if (brand) {
    input.addEventListener("input", () => {
      brand.textContent = BRANDS.find(([leading]) => leading.test(digits(input.value)))?.[1] ?? "";
    });
  }
  if (name === "institution") fillChoices(input);
  const label = element("label", { for: name }, say(name === "code" ? "codeLabel" : name));
  return element("div", { class: "field" }, label, described, element("div", { class: "entry" }, input, brand), fault);
}

/** Offer the back ends of this payment; the number is asked for where the chosen one wants it. */
function fillChoices(select) {
  const { choices } = page.view;
  select.append(...choices.map(({ id, name }) => element("option", { value: id }, name)));
  const adapt = () => {
    const numbered = choices.find(({ id }) => id === select.value)?.numbered ?? false;
    const input = place("number");
    if (!input) return;
    input.required = numbered;
    input.closest(".field").hidden = !numbered;
    if (!numbered) input.value = "";
  };
  select.addEventListener("change", adapt);
  queueMicrotask(adapt);
}

/** Read a form's fields; shows what is wrong in a summary and beside each field, and returns null. */
function readForm(form, fields) {
  const values = {};
  const wrong = [];
  for (const { name, required } of fields) {
    const input = form.elements[name];
    const empty = input.value === "";
    const read = READERS[name] ?? ((text) => ({ value: name === "username" ? folded(text) : text }));
    const { value, wrong: why } = empty ? { wrong: required || input.required ? "missing" : undefined } : read(input.value);
    const fault = place(`${name}-fault`);
    fault.textContent = why ? say(why) : "";
    fault.hidden = !why;
    if (why) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    if (why) wrong.push({ name, text: `${say(name === "code" ? "codeLabel" : name)}: ${say(why)}` });
    if (value !== undefined) values[name] = value;
  }
  showSummary(form, wrong);
  return wrong.length ? null : values;
}

function showSummary(form, wrong) {
  form.querySelector(".summary")?.remove();
  if (!wrong.length) return;
  const items = wrong.map(({ name, text }) => {
    if (!name) return element("li", {}, text);
    const jump = (event) => {
      event.preventDefault();
      place(name).focus();
    };
    return element("li", {}, element("a", { href: `#${name}`, click: jump }, text));
  });
  const summary = element("div", { class: "summary", role: "alert", tabindex: "-1" },
    element("h2", {}, say("problems")), element("ul", {}, ...items));
  form.prepend(summary);
  summary.focus();
}

function clearForms() {
  for (const input of document.querySelectorAll("input")) input.value = "";
}

/** Keep two clicks from sending twice, and say what went wrong where it went wrong. */
async function guarded(form, work) {
  const buttons = [...document.querySelectorAll("button")];
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (problem) {
    if (problem.code === "already_final") page.status = await look();
    if (!page.status?.final) showSummary(form, [{ text: explain(problem) }]);
    else showEnd();
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

function showEnd() {
  clearInterval(page.linkTimer);
  clearForms();
  tell("");
  place("deadline").replaceChildren();
  const { state } = page.status;
  const values = { payee: page.view.order.payee, amount: money(page.view.order) };
  const good = state === "approved";
  const buttons = [element("a", { class: "button", href: "/done" }, say("done"))];
  if (page.view.return_url) buttons.push(element("a", { class: "button second", href: page.view.return_url, rel: "noreferrer" }, say("back")));
  if (good) buttons.unshift(element("button", { type: "button", class: "button second", click: () => print() }, say("print")));
  show(
    element("div", { class: good ? "end good" : "end" },
      element("span", { class: "mark", "aria-hidden": "true" }, good ? "✓" : state === "unknown" || state === "manual" ? "…" : "✕"),
      element("h2", {}, say(state) || state), element("p", {}, say(`${state}How`, values))),
    ...(page.status.final ? [element("div", { class: "buttons" }, ...buttons)] : []),
  );
}

addEventListener("pagehide", clearForms);
addEventListener("pageshow", (event) => event.persisted && location.reload());
localise();
