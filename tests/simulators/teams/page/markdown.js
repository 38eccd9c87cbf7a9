// The part of markdown that Teams renders in text blocks and in a bot's messages:
// emphasis, links, lists, mentions. It is here so that text which should have been
// kept literal is seen when it was not.

export function markdown(text) {
  const lines = text.split(/\r?\n/);
  const out = [];
  let list = null;
  for (const line of lines) {
    const item = /^\s*(?:([-*])|(\d+)\.)\s+(.*)$/.exec(line);
    const kind = item ? (item[1] ? "ul" : "ol") : null;
    if (kind !== list) {
      if (list) out.push(`</${list}>`);
      if (kind) out.push(`<${kind}>`);
      list = kind;
    }
    out.push(item ? `<li>${inline(item[3])}</li>` : `<p>${inline(line) || "&nbsp;"}</p>`);
  }
  if (list) out.push(`</${list}>`);
  return `<div class="markdown">${out.join("")}</div>`;
}

function inline(text) {
  return escaped(text)
    .replace(/&lt;at&gt;(.*?)&lt;\/at&gt;/g, '<span class="mention">$1</span>')
    .replace(/\[([^\]]+)\]\((https?:[^)\s]+|mailto:[^)\s]+)\)/g, '<a href="$2" target="_blank" rel="noreferrer">$1</a>')
    .replace(/\*\*(.+?)\*\*/g, "<strong>$1</strong>")
    .replace(/(^|\W)[_*](\S.*?\S|\S)[_*](?=\W|$)/g, "$1<em>$2</em>");
}

function escaped(text) {
  return text.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`.replace("&#60;", "&lt;").replace("&#62;", "&gt;"));
}
