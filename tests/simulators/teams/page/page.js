// The page of one user: conversations, messages, and a place to write.

import { Card, forgetExecute } from "./cards.js";
import { markdown } from "./markdown.js";

const query = new URLSearchParams(location.search);
const user = query.get("user");
if (query.get("client") === "old") forgetExecute();

const one = (selector) => document.querySelector(selector);
const shown = new Map(); // message id -> {element, card, edition}
const seen = new Set();
let feed = null;
let placeId = null;

function make(tag, className = "", text = "", attributes = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

async function act(told) {
  const answer = await fetch("/act", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user, ...told }),
  });
  return answer.json();
}

// --- people and places ---

function avatar(author) {
  if (author.bot) return make("span", "avatar bot", "✓", { "aria-hidden": "true" });
  const initials = author.name.split(" ").map((word) => word[0]).slice(0, 2).join("");
  const element = make("span", "avatar", initials, { "aria-hidden": "true" });
  let hue = 7;
  for (const letter of author.user) hue = (hue * 31 + letter.charCodeAt(0)) % 360;
  element.style.background = `hsl(${hue} 38% 45%)`;
  return element;
}

function people() {
  one(".people").replaceChildren(...feed.people.filter((each) => !each.application).map((each) => {
    const link = make("a", "", "", { href: `?user=${each.user}`, title: each.about });
    link.append(avatar(each), make("span", "", each.user));
    if (each.user === user) link.setAttribute("aria-current", "page");
    return link;
  }));
}

function places() {
  const nav = one(".side nav");
  const focused = document.activeElement?.dataset?.place;
  nav.replaceChildren();
  for (const [title, kind] of [["Chat", "personal"], ["Channels", "channel"]]) {
    nav.append(make("h2", "", title));
    for (const place of feed.places.filter((each) => each.kind === kind)) {
      const button = make("button", "", "", { type: "button", "data-place": place.id });
      button.append(kind === "personal" ? avatar({ bot: true }) : make("span", "hash", "#", { "aria-hidden": "true" }), make("span", "", place.name));
      const unread = feed.messages.filter((each) => each.place === place.id && !seen.has(each.id)).length;
      if (place.id === placeId) button.setAttribute("aria-current", "page");
      else if (unread) button.append(make("span", "unread", String(unread), { "aria-label": `${unread} new` }));
      button.addEventListener("click", () => go(place.id));
      nav.append(button);
    }
  }
  if (focused) nav.querySelector(`[data-place="${focused}"]`)?.focus();
}

function header() {
  const place = feed.places.find((each) => each.id === placeId);
  one(".place h1").textContent = place.kind === "channel" ? `# ${place.name}` : place.name;
  one(".place .state").textContent = `${place.kind === "channel" ? `${place.members} members · ` : ""}${feed.bot} is ${place.installed ? "" : "not "}installed`;
  const button = one(".place .install");
  button.textContent = place.installed ? `Remove ${feed.bot}` : `Add ${feed.bot}`;
  button.onclick = () => act({ do: place.installed ? "uninstall" : "install", place: placeId });
  one(".composer input").placeholder = place.kind === "channel" ? `Write to everybody, or to @${feed.bot}` : "Type a message";
}

function go(id) {
  placeId = id;
  sessionStorage.setItem(`place:${user}`, id);
  one(".feed").replaceChildren();
  render();
}

// --- messages ---

function element(message) {
  const when = new Date(message.at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const article = make("article", "", "", { "aria-label": `${message.author.name}, ${when}`, "data-id": message.id });
  article.classList.toggle("mine", message.author.user === user);
  article.classList.toggle("reply", message.root !== message.id);
  const body = make("div");
  const head = make("div", "head");
  head.append(make("strong", "", message.author.name));
  if (message.author.badge) head.append(make("span", "badge", message.author.badge));
  head.append(make("time", "", when), make("span", "edited"));
  const tools = make("span", "tools");
  head.append(tools);
  body.append(head);
  article.append(avatar(message.author), body);
  const entry = { element: article, head, body, edition: 0, card: null, text: null };
  if (message.cards.length) {
    entry.card = new Card((told) => act({ message: message.id, ...told }));
    tool(tools, "Refresh card", () => entry.card.refresh());
    tool(tools, "Forward", () => forward(message.id));
  }
  tool(tools, "Show JSON", () => raw(message.id));
  return entry;
}

function tool(tools, name, done) {
  const button = make("button", "quiet", name, { type: "button" });
  button.addEventListener("click", done);
  tools.append(button);
}

function fill(entry, message) {
  entry.edition = message.edition;
  entry.head.querySelector(".edited").textContent = message.edition > 1 ? "Edited" : "";
  entry.text?.remove();
  entry.text = null;
  if (message.text) {
    entry.text = make("div", "text");
    if (message.author.bot && message.format !== "plain") entry.text.innerHTML = markdown(message.text);
    else entry.text.textContent = message.text;
    entry.body.append(entry.text);
  }
  if (entry.card) {
    entry.body.append(entry.card.element);
    entry.card.show(message.cards[0], feed.me.mri);
  }
}

function render() {
  people();
  const log = one(".feed");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 120;
  const here = feed.messages.filter((each) => each.place === placeId);
  const ids = new Set(feed.messages.map((each) => each.id));
  for (const [id, entry] of shown) {
    if (!ids.has(id)) {
      entry.element.remove();
      shown.delete(id);
    }
  }
  log.querySelector(".empty")?.remove();
  here.forEach((message, index) => {
    if (!shown.has(message.id)) shown.set(message.id, element(message));
    const entry = shown.get(message.id);
    if (log.children[index] !== entry.element) log.insertBefore(entry.element, log.children[index] ?? null);
    if (entry.edition !== message.edition) fill(entry, message);
    seen.add(message.id);
  });
  if (!here.length) log.append(make("p", "empty", `Nothing here yet. Add ${feed.bot}, or write to it.`));
  places();
  header();
  if (atEnd) log.scrollTop = log.scrollHeight;
  document.body.dataset.version = feed.version;
}

function raw(id) {
  const dialog = one("dialog.raw");
  const message = feed.messages.find((each) => each.id === id);
  dialog.querySelector("pre").textContent = JSON.stringify(message.activity, null, 2);
  dialog.showModal();
}

function forward(id) {
  const dialog = one("dialog.forward");
  dialog.querySelector(".targets").replaceChildren(...feed.places.filter((each) => each.id !== placeId).map((place) => {
    const button = make("button", "", place.name, { value: place.id });
    button.addEventListener("click", () => act({ do: "forward", message: id, place: place.id }));
    return button;
  }));
  dialog.showModal();
}

// --- the wire ---

async function load() {
  feed = await (await fetch(`/feed?user=${encodeURIComponent(user)}`)).json();
  placeId ??= sessionStorage.getItem(`place:${user}`);
  if (!feed.places.some((each) => each.id === placeId)) placeId = feed.places.find((each) => each.kind === "personal").id;
  document.title = `${feed.me.name} · Teams simulator`;
  render();
}

one(".composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = one(".composer input");
  const text = input.value.trim();
  input.value = "";
  if (text) act({ do: "say", place: placeId, text });
});

let loading = null;
let again = false;
function news() {
  if (loading) {
    again = true;
    return;
  }
  loading = load().finally(() => {
    loading = null;
    if (again) {
      again = false;
      news();
    }
  });
}

new EventSource(`/events?user=${encodeURIComponent(user)}`).onmessage = news;
