// The phone page: what is paid, to whom, who asks; then the other half, or no.

function showApproval() {
  const { fields } = page.view;
  const form = element("form", { novalidate: true, autocomplete: "on" },
    element("p", { class: "match" }, element("span", { class: "quiet" }, say("match")), element("strong", {}, String(page.status.number))),
    ...(fields.length ? fields.map(({ name, required }) => field(name, required)) : [element("h2", {}, say("app")), element("p", {}, say("appHow"))]),
    element("p", { class: "note" }, say("phoneNote")),
    element("div", { class: "buttons even" },
      element("button", { type: "button", class: "button weighty", id: "decline", click: () => guarded(form, decline) }, say("decline")),
      fields.length ? element("button", { class: "button", id: "approve" }, say("approve")) : null));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = readForm(form, fields);
    if (values) guarded(form, async () => {
      await sendPart(values);
      clearForms();
      if (page.status.final) return;
      page.status = { ...page.status, sent: true };
      showSent();
    });
  });
  show(form);
}

async function decline() {
  await post("/page/decline");
  page.status = await look();
  showEnd();
}

function showSent() {
  show(element("h2", {}, say(page.status.state === "processing" ? "processing" : "sent")), element("div", { class: "busy", "aria-hidden": "true" }));
  tell(say(page.status.state === "processing" ? "processing" : "sent"));
}

function showCode(problem) {
  const form = element("form", { novalidate: true },
    headline(say("codeTitle")), field("code", true),
    element("div", { class: "buttons" }, element("button", { class: "button" }, say("open"))));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = readForm(form, [{ name: "code", required: true }]);
    if (!values) return;
    history.replaceState(null, "", `${location.pathname}${location.search}#${values.code}`);
    open();
  });
  show(form);
  if (problem) showSummary(form, [{ text: explain(problem) }]);
}

function react(status) {
  if (status.final || status.state === "unknown" || status.state === "manual") return showEnd();
  if (status.sent || status.state === "processing") return showSent();
  return undefined;
}

async function open() {
  tell(say("loading"));
  try {
    await begin();
  } catch (problem) {
    tell("");
    history.replaceState(null, "", location.pathname + location.search);
    return showCode(problem);
  }
  tell("");
  showOrder();
  showDeadline();
  if (page.status.final) return showEnd();
  if (page.status.sent) showSent();
  else showApproval();
  return follow(react);
}

if (location.pathname === "/join") joinPhone();
else if (location.hash.slice(1)) open();
else showCode();
