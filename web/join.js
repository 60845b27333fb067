// Sign-up: the PC page takes the open half, the phone page, which has the code that was sent, the secret one.

const PASSWORD_MIN = 12; // characters

/** Ask for the fields of a form, and for `texts` above them. */
function joinForm(title, texts, names, button, send) {
  const fields = names.map(([name, required]) => ({ name, required }));
  const form = element("form", { novalidate: true, autocomplete: "on" },
    headline(say(title)), ...texts.map((text) => element("p", { class: "note" }, text)),
    ...fields.map(({ name, required }) => field(name, required)),
    element("div", { class: "buttons" }, element("button", { class: "button" }, say(button))));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = readForm(form, fields.filter(({ name }) => !place(name).closest(".field").hidden));
    if (values) guarded(form, () => send(values));
  });
  show(form);
  return form;
}

async function sendSealed(target, content) {
  const idempotencyKey = freshNonce();
  return insist(() => {
    const key = newestKey(page.keys, Date.now() + page.skew);
    return sealedRequest(page.signer, key, target, content, { idempotencyKey, created: seconds() });
  });
}

/** The PC: who the payer is, where the code goes, and the account or card as everybody may see it. */
async function joinPc() {
  const offer = await insist(() => ({ method: "POST", target: "/join/offer", headers: { "content-type": "application/json" }, body: "{}" }));
  page.skew = offer.now - Date.now();
  page.keys = await readKeyList(offer.keys);
  page.signer = await macSigner(offer.sender, fromBase64url(offer.key));
  page.view = { choices: offer.choices };
  if (!offer.choices.length) return show(headline(say("joinTitle")), element("p", {}, say("joinNowhere")));
  const names = [["newName", true], ["contact", true], ["institution", true], ["account", true], ["pan", true], ["expiry", false]];
  joinForm("joinTitle", [say("joinSplit")], names, "joinSend", async ({ newName, contact, ...half }) => {
    const where = contact.startsWith("+") ? { phone: contact } : { email: contact };
    const sent = await sendSealed("/join/first", { username: newName, ...where, ...half });
    clearForms();
    show(headline(say("joinSent")), element("p", {}, say("joinSentHow", { contact })), qrPicture(sent.qr, say("joinQr")),
      element("p", { class: "quiet" }, say("joinTyped", { where: sent.where.replace("https://", "") })));
  });
  const adapt = () => {
    const card = offer.choices.find(({ id }) => id === place("institution").value)?.card ?? false;
    for (const name of ["account", "pan", "expiry"]) {
      place(name).closest(".field").hidden = card === (name === "account");
      if (card === (name === "account")) place(name).value = "";
    }
  };
  place("institution").addEventListener("change", adapt);
  adapt();
  return undefined;
}

/** The phone: the code first, then the password and, for an account, its secret. */
function joinPhone() {
  joinForm("joinCode", [say("joinCodeHow")], [["code", true]], "open", async ({ code }) => {
    const { sender, key } = await linkKeys(code);
    page.signer = await macSigner(sender, key);
    const waiting = await insist(() => signedRequest(page.signer, "GET", "/join/waiting", "", { created: seconds() }));
    page.skew = waiting.now - Date.now();
    page.keys = await readKeyList(waiting.keys);
    joinSecret(waiting);
  });
}

function joinSecret(waiting) {
  const app = element("input", { id: "app", type: "checkbox", class: "tick" });
  const names = [["newPassword", true], ...(waiting.card ? [] : [["secret", true]])];
  const form = joinForm("joinFinish", [say("joinFinishHow", { username: waiting.username, institution: waiting.institution })], names, "joinDo",
    async ({ newPassword, secret }) => {
      const joined = await sendSealed("/join/second", { password: newPassword, secret: secret ?? null, app: app.checked });
      clearForms();
      const link = joined.app ? element("a", { class: "button", href: joined.app }, say("joinApp")) : null;
      show(element("div", { class: "end good" }, element("span", { class: "mark", "aria-hidden": "true" }, "✓"),
        headline(say("joined2")), element("p", {}, say("joined2How", { username: joined.username }))),
      element("div", { class: "buttons" }, link, element("a", { class: link ? "button second" : "button", href: "/done" }, say("done"))));
    });
  form.querySelector(".buttons").before(element("label", { class: "choice", for: "app" }, app, say("joinWantsApp")));
}
