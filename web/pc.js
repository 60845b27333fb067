// The PC page: one half of the credential, then the code that brings the phone.

const LINK_TICK_MS = 1000;

function showForm() {
  const { fields } = page.view;
  if (!fields.length) return show(element("h2", {}, say("app")), element("p", {}, say("appHow")));
  const form = element("form", { novalidate: true, autocomplete: "on" },
    element("p", { class: "note" }, say("splitNote")),
    ...fields.map(({ name, required }) => field(name, required)),
    element("div", { class: "buttons" }, element("button", { class: "button" }, say("continue"))),
    element("div", { class: "buttons" },
      element("button", { type: "button", class: "button quietly", click: () => guarded(form, handOver) }, say("handOver")),
      element("button", { type: "button", class: "button quietly", click: () => guarded(form, decline) }, say("cancel"))));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = readForm(form, fields);
    if (values) guarded(form, async () => {
      await sendPart(values);
      clearForms();
      if (page.status.final) return;
      page.status = { ...page.status, sent: true };
      await showPhone();
    });
  });
  show(form);
}

async function decline() {
  await post("/page/decline");
  page.status = await look();
  showEnd();
}

/** Ask for a fresh code: the last one is void from now on, what was typed here stays. */
async function newPhoneCode() {
  clearInterval(page.linkTimer);
  const link = await post("/page/phone");
  const code = link.code.replaceAll(/(.{4})(?=.)/g, "$1 ");
  const area = place("code");
  area.replaceChildren(
    qrPicture(link.qr, say("qrLabel")),
    element("p", { class: "quiet" }, say("typed", { where: link.origin.replace("https://", "") })),
    element("p", { class: "typed" }, element("bdi", { dir: "ltr" }, code)));
  area.dataset.url = link.url;
  page.linkTimer = setInterval(() => {
    if (Date.now() + page.skew < link.expires_at) return;
    clearInterval(page.linkTimer);
    area.replaceChildren(element("p", { class: "note" }, say("codeOver")));
    delete area.dataset.url;
  }, LINK_TICK_MS);
}

async function showPhone() {
  if (page.view.other.includes("pin_block")) return show(element("h2", {}, say("app")), element("p", {}, say("appHow")));
  const again = () => guarded(place("panel"), async () => {
    await newPhoneCode();
    page.status = { ...page.status, number: null };
    react(page.status);
  });
  show(
    element("h2", { id: "next" }, say("scan")), element("p", { id: "how" }, say("scanHow")), element("div", { id: "code" }),
    element("p", { id: "match", class: "match", hidden: true }),
    element("div", { class: "buttons" },
      element("button", { id: "again", type: "button", class: "button second", click: again }, say("newCode")),
      element("button", { type: "button", class: "button quietly", click: () => guarded(place("panel"), decline) }, say("cancel"))));
  if (!page.status.number) await newPhoneCode();
  react(page.status);
}

async function handOver() {
  const link = await post("/page/handover");
  page.status = { ...page.status, watching: true };
  showOther(link);
}

function showOther(link) {
  const made = [];
  if (link) {
    const copy = async (event) => {
      await navigator.clipboard.writeText(link.url);
      event.target.textContent = say("copied");
    };
    const shared = element("input", { id: "shared", class: "shared", readonly: true, "aria-label": say("copy"), dir: "ltr" });
    shared.value = link.url;
    made.push(element("p", {}, say("otherHow")), qrPicture(link.qr, say("otherQr")), shared,
      element("div", { class: "buttons" }, element("button", { type: "button", class: "button second", click: copy }, say("copy"))));
  }
  show(element("h2", {}, say("otherTitle")), ...made);
  tell(say("otherWaiting"));
}

/** Move on by itself: the phone joined, the payment is under way, or it ended. */
function react(status) {
  if (status.final || status.state === "unknown" || status.state === "manual") return showEnd();
  if (status.state === "processing") {
    clearInterval(page.linkTimer);
    show(element("h2", {}, say("processing")), element("div", { class: "busy", "aria-hidden": "true" }));
    return tell(say("processing"));
  }
  if (status.watching) return tell(say("otherWaiting"));
  if (!place("match")) return undefined;
  const joined = Boolean(status.number);
  place("match").hidden = !joined;
  place("how").hidden = joined;
  place("code").hidden = joined;
  if (joined) {
    clearInterval(page.linkTimer);
    place("match").replaceChildren(element("span", { class: "quiet" }, say("match")), element("strong", {}, String(status.number)));
    tell(say("joined", { number: status.number }));
  } else tell(say("waiting"));
  place("next").textContent = say(joined ? "joinedTitle" : "scan");
  place("again").textContent = say(joined ? "notMine" : "newCode");
  return undefined;
}

async function main() {
  if (location.pathname === "/join") return joinPc();
  if (!location.hash.slice(1)) return show(headline(say("noLink")), element("p", {}, say("noLinkHow")));
  tell(say("loading"));
  try {
    await begin();
  } catch (problem) {
    return replaced(problem);
  }
  tell("");
  showOrder();
  showDeadline();
  if (page.status.final) return showEnd();
  if (page.status.watching) showOther(null);
  else if (page.status.sent) await showPhone();
  else showForm();
  return follow(react);
}

main();
