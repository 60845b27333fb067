// Every text a payer sees, by language. A language without a text of its own shows English.

const LANGUAGES = {
  en: {
    payTo: "Pay to", asks: "Asked by {who}", reference: "Reference: {what}", loading: "Opening your payment…",
    pan: "Card number", panHint: "The long number on the front; spaces do not matter",
    expiry: "Valid until (month / year)", expiryHint: "For example 04/29",
    account: "Account", accountHint: "As provider:name, for example qianbao:li.lei",
    username: "User name", usernameHint: "The name you registered with",
    institution: "Pay from", institutionHint: "Where you stored the account or card that pays",
    number: "Your number", numberHint: "The 8 digits we sent you, or those your authenticator app shows now",
    secret: "Payment password", secretHint: "The payment password of the account; never your card’s PIN",
    password: "Password", passwordHint: "The password of your user name",
    continue: "Continue on your phone", approve: "Approve and pay", decline: "Decline", cancel: "Cancel this payment",
    handOver: "Let somebody else pay", newCode: "Show a new code", copy: "Copy the link", copied: "Copied", share: "Send the link",
    splitNote: "You enter one half here and the other half on your phone. Neither half alone can pay.",
    phoneNote: "Your computer sent the other half. Check what you pay before you approve.",
    scan: "Now take your phone", scanHow: "Point its camera at this code. The page that opens shows the same payee and amount.",
    qrLabel: "QR code that opens this payment on your phone",
    typed: "No camera? Open {where} on the phone and type", waiting: "Waiting for your phone…",
    codeOver: "The code has run out. Nothing is lost: show a new one.",
    joinedTitle: "Continue on your phone", joined: "A phone has joined. Check that it shows the number {number}.",
    match: "Number on both screens", notMine: "Not my phone: show a new code",
    otherTitle: "Somebody else pays", otherHow: "Send this link to the person who pays. It works once, on their own device, and you never see what they type. You will see here how it ended.",
    otherWaiting: "Waiting for the other person…", otherQr: "QR code of the link for the person who pays",
    app: "Use your bank’s app", appHow: "The other half of this payment is a card PIN. A PIN is never typed into a browser: use your bank’s app.",
    sent: "Your half is there. Waiting for the other one…", processing: "Paying…",
    approved: "Paid", approvedHow: "{payee} has been paid {amount}. You can close this page.",
    declined: "Not paid", declinedHow: "The payment was declined. Nothing was taken. Start again from the shop to try another way.",
    refused: "Not paid", refusedHow: "What was entered does not fit together, so nothing was sent. Start again from the shop.",
    cancelled: "Cancelled", cancelledHow: "This payment was cancelled. Nothing was taken.",
    expired: "Time is over", expiredHow: "This payment waited too long and what was typed is erased. Nothing was taken. Start again from the shop.",
    undelivered: "Not paid", undeliveredHow: "The payment could not be delivered. Nothing was taken.",
    reversed: "Undone", reversedHow: "The payment was undone. Nothing is taken.",
    unknown: "Not known yet", unknownHow: "Your bank has not said yet whether the payment went through. Do not pay again: this page will tell you.",
    manual: "Being looked into", manualHow: "Somebody is finding out how the payment ended. Do not pay again.",
    print: "Print", back: "Back to the shop", done: "Done", offline: "No connection. Trying again…", expires: "Please finish by {time}.",
    soon: "Less than a minute is left. What you have typed is erased when time is over.",
    codeTitle: "Enter the code", codeLabel: "Code from the other screen", codeHint: "14 letters and digits; spaces do not matter",
    open: "Open the payment", problems: "Please correct this", noLink: "This address needs a link",
    noLinkHow: "Open the payment from the shop again.", failed: "This did not work",
    badPan: "Enter 12 to 19 digits", badNumber: "A number has 8 digits", badExpiry: "Enter month and year, for example 04/29", badAccount: "Enter the account as provider:name",
    missing: "Enter this", badCode: "A code has 14 letters and digits",
    link_refused: "This link was used or has run out. Show a new code on the other screen, or open the payment from the shop again.",
    same_channel: "Both halves would come from one browser. Open this page on another device, or in another browser.",
    not_independent: "For this amount the other half must come from another device or network. Nothing you typed elsewhere is lost.",
    already_final: "This payment has ended already.", too_many: "Too many tries. Wait a minute, then try again.",
    unavailable: "The service is busy. Try again in a moment.",
  },
  "zh-CN": {
    payTo: "付款给", asks: "付款请求来自{who}", reference: "订单：{what}", loading: "正在打开付款…",
    pan: "卡号", panHint: "卡片正面的长号码，空格不影响", expiry: "有效期（月/年）", expiryHint: "例如 04/29",
    account: "账户", accountHint: "格式为 机构:名称，例如 qianbao:li.lei", username: "用户名", usernameHint: "您注册时使用的名称",
    institution: "付款机构", institutionHint: "您存有账户或银行卡的机构", number: "动态号码", numberHint: "我们发送给您的 8 位数字，或验证器应用当前显示的数字",
    secret: "支付密码", secretHint: "账户的支付密码，不是银行卡密码", password: "密码", passwordHint: "该用户名的密码",
    continue: "在手机上继续", approve: "确认付款", decline: "拒绝付款", cancel: "取消这笔付款", handOver: "请别人代付",
    newCode: "显示新的二维码", copy: "复制链接", copied: "已复制", share: "发送链接",
    splitNote: "一半信息在此输入，另一半在手机上输入。任何一半都无法单独付款。",
    phoneNote: "另一半信息由电脑发送。确认前请核对付款内容。", scan: "请拿起手机",
    scanHow: "用手机相机扫描此码。打开的页面会显示相同的收款方和金额。", qrLabel: "在手机上打开这笔付款的二维码",
    typed: "无法扫码？在手机上打开 {where} 并输入", waiting: "正在等待您的手机…", codeOver: "二维码已过期，已输入的内容仍然有效，请显示新的二维码。",
    joinedTitle: "请在手机上继续", joined: "手机已加入。请确认手机上显示的数字是 {number}。", match: "两个屏幕上的数字", notMine: "不是我的手机：显示新的二维码",
    otherTitle: "请别人代付", otherHow: "把此链接发给付款人。链接只能使用一次，您看不到对方输入的内容。付款结果会显示在这里。",
    otherWaiting: "正在等待对方付款…", otherQr: "付款人链接的二维码", app: "请使用银行应用",
    appHow: "这笔付款的另一半是银行卡密码。银行卡密码绝不在浏览器中输入，请使用银行应用。",
    sent: "您的一半已送达，正在等待另一半…", processing: "正在付款…", approved: "付款成功", approvedHow: "已向{payee}支付 {amount}。您可以关闭此页面。",
    declined: "未付款", declinedHow: "付款被拒绝，没有扣款。请从商家重新开始。", refused: "未付款", refusedHow: "输入的信息不匹配，没有扣款。请从商家重新开始。",
    cancelled: "已取消", cancelledHow: "这笔付款已取消，没有扣款。", expired: "已超时", expiredHow: "等待时间过长，输入的内容已清除，没有扣款。请从商家重新开始。",
    undelivered: "未付款", undeliveredHow: "付款无法送达，没有扣款。", reversed: "已撤销", reversedHow: "这笔付款已撤销，不会扣款。",
    unknown: "结果未知", unknownHow: "银行尚未告知结果。请勿重复付款，此页面会显示结果。", manual: "正在核查", manualHow: "工作人员正在核查付款结果。请勿重复付款。",
    print: "打印", back: "返回商家", done: "完成", offline: "没有网络连接，正在重试…", expires: "请在 {time} 前完成。", soon: "剩余不到一分钟，超时后输入的内容会被清除。",
    codeTitle: "输入代码", codeLabel: "另一个屏幕上的代码", codeHint: "14 位字母和数字，空格不影响", open: "打开付款", problems: "请更正",
    noLink: "此地址需要链接", noLinkHow: "请从商家重新打开付款。", failed: "操作未成功", badPan: "请输入 12 至 19 位数字", badNumber: "动态号码为 8 位数字",
    badExpiry: "请输入月和年，例如 04/29", badAccount: "请按 机构:名称 输入账户", missing: "请填写此项", badCode: "代码为 14 位字母和数字",
    link_refused: "此链接已使用或已过期。请在另一个屏幕上显示新的二维码，或从商家重新打开付款。",
    same_channel: "两半信息来自同一个浏览器。请在另一台设备或另一个浏览器中打开此页面。",
    not_independent: "此金额要求另一半信息来自另一台设备或网络。您在别处输入的内容不会丢失。",
    already_final: "这笔付款已经结束。", too_many: "尝试次数过多，请稍等一分钟再试。", unavailable: "服务繁忙，请稍后再试。",
  },
  ar: {
    payTo: "الدفع إلى", asks: "الطلب من {who}", reference: "المرجع: {what}", loading: "جارٍ فتح عملية الدفع…",
    pan: "رقم البطاقة", panHint: "الرقم الطويل على وجه البطاقة، والمسافات لا تهم", expiry: "صالحة حتى (شهر / سنة)", expiryHint: "مثال: 04/29",
    account: "الحساب", accountHint: "بصيغة المزود:الاسم، مثال qianbao:li.lei", username: "اسم المستخدم", usernameHint: "الاسم الذي سجلت به",
    institution: "الدفع من", institutionHint: "حيث حفظت الحساب أو البطاقة", number: "رقمك", numberHint: "الأرقام الثمانية التي أرسلناها إليك أو التي يعرضها تطبيق المصادقة", badNumber: "الرقم من 8 أرقام",
    secret: "كلمة مرور الدفع", secretHint: "كلمة مرور الدفع للحساب، وليست الرقم السري للبطاقة", password: "كلمة المرور", passwordHint: "كلمة مرور اسم المستخدم",
    continue: "المتابعة على الهاتف", approve: "الموافقة والدفع", decline: "الرفض", cancel: "إلغاء هذه العملية", handOver: "دع شخصًا آخر يدفع",
    newCode: "عرض رمز جديد", copy: "نسخ الرابط", copied: "تم النسخ", share: "إرسال الرابط",
    splitNote: "تدخل نصفًا هنا والنصف الآخر على هاتفك. لا يكفي أي نصف وحده للدفع.",
    phoneNote: "أرسل حاسوبك النصف الآخر. تحقق مما تدفعه قبل الموافقة.", scan: "خذ هاتفك الآن",
    scanHow: "وجّه الكاميرا إلى هذا الرمز. تعرض الصفحة التي تفتح المستفيد والمبلغ نفسيهما.", qrLabel: "رمز يفتح عملية الدفع على هاتفك",
    typed: "لا توجد كاميرا؟ افتح {where} على الهاتف واكتب", waiting: "في انتظار هاتفك…", codeOver: "انتهت صلاحية الرمز. لم يضع شيء: اعرض رمزًا جديدًا.",
    joinedTitle: "تابع على هاتفك", joined: "انضم هاتف. تحقق من أنه يعرض الرقم {number}.", match: "الرقم على الشاشتين", notMine: "ليس هاتفي: اعرض رمزًا جديدًا",
    otherTitle: "شخص آخر يدفع", otherHow: "أرسل هذا الرابط إلى من سيدفع. يعمل مرة واحدة ولن ترى ما يكتبه. ستظهر النتيجة هنا.",
    otherWaiting: "في انتظار الشخص الآخر…", sent: "وصل نصفك. في انتظار النصف الآخر…", processing: "جارٍ الدفع…",
    approved: "تم الدفع", approvedHow: "تم دفع {amount} إلى {payee}. يمكنك إغلاق هذه الصفحة.", declined: "لم يتم الدفع", declinedHow: "رُفضت العملية ولم يُخصم شيء. ابدأ من المتجر من جديد.",
    cancelled: "أُلغيت", cancelledHow: "أُلغيت هذه العملية ولم يُخصم شيء.", expired: "انتهى الوقت", expiredHow: "طال الانتظار ومُحي ما كُتب. لم يُخصم شيء.",
    print: "طباعة", back: "العودة إلى المتجر", done: "تم", offline: "لا يوجد اتصال. جارٍ إعادة المحاولة…", expires: "يرجى الإنهاء قبل {time}.",
    codeTitle: "أدخل الرمز", codeLabel: "الرمز من الشاشة الأخرى", codeHint: "14 حرفًا ورقمًا", open: "فتح عملية الدفع", problems: "يرجى التصحيح",
    missing: "أدخل هذا", badPan: "أدخل من 12 إلى 19 رقمًا", badExpiry: "أدخل الشهر والسنة", badAccount: "أدخل الحساب بصيغة المزود:الاسم", failed: "لم تنجح العملية",
  },
};
const RIGHT_TO_LEFT = ["ar"];

function chosenLanguage() {
  const asked = [new URLSearchParams(location.search).get("lang"), ...navigator.languages].filter(Boolean);
  for (const tag of asked) {
    const known = Object.keys(LANGUAGES).find((name) => name.split("-")[0] === tag.split("-")[0]);
    if (known) return known;
  }
  return "en";
}

const language = chosenLanguage();
const region = navigator.languages.find((tag) => tag.split("-")[0] === language.split("-")[0]) ?? language;

function say(key, values = {}) {
  const text = LANGUAGES[language][key] ?? LANGUAGES.en[key] ?? "";
  return text.replaceAll(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
