// One card in the feed: rendered by Microsoft's own renderer, clicked by its applet.

import { hostConfig } from "./host.js";
import { markdown } from "./markdown.js";

const AC = window.AdaptiveCards;
const config = new AC.HostConfig(hostConfig);
const RETRY_IN_MS = 300;

AC.AdaptiveCard.onProcessMarkdown = (text, result) => {
  result.outputHtml = markdown(text);
  result.didProcess = true;
};
AC.AdaptiveCard.onInlineCardExpanded = (action, expanded) => {
  if (expanded) action.card.renderedElement?.scrollIntoView({ block: "nearest" });
};
AC.GlobalSettings.applets.logLevel = AC.LogLevel.Error;
AC.GlobalSettings.applets.maximumRetryAttempts = 3;
AC.GlobalSettings.applets.refresh.mode = AC.RefreshMode.Disabled; // done below, as Teams does

const actions = new AC.CardObjectRegistry();
AC.GlobalRegistry.populateWithDefaultActions(actions);

/** Have this page be a client that does not know Action.Execute. */
export function forgetExecute() {
  actions.unregister("Action.Execute");
}

class Adapter extends AC.ChannelAdapter {
  constructor(card) {
    super();
    this.card = card;
  }

  async sendRequestAsync(request) {
    const told = { type: "Action.Execute", title: request.action.title, data: request.action.data ?? {} };
    if (request.action.id) told.id = request.action.id;
    if (request.action.verb) told.verb = request.action.verb;
    const answer = await this.card.act({ do: "invoke", action: told, trigger: request.trigger });
    switch (answer.outcome) {
      case "card":
      case "message":
        return new AC.SuccessResponse(request, answer.outcome === "card" ? JSON.stringify(answer.value) : answer.value);
      default:
        return new AC.ErrorResponse(request, new AC.ActivityRequestError(answer.outcome, answer.value?.message));
    }
  }
}

export class Card {
  /** `act` posts one act about this card's message and returns the answer. */
  constructor(act) {
    this.act = act;
    this.element = document.createElement("div");
    this.element.className = "card";
    this.inline = document.createElement("div");
    this.inline.className = "inline";
    this.inline.setAttribute("role", "status");
    this.applet = this.newApplet();
    this.element.append(this.applet.renderedElement, this.inline);
  }

  newApplet() {
    const applet = new AC.AdaptiveApplet();
    applet.hostConfig = config;
    applet.channelAdapter = new Adapter(this);
    applet.onCreateSerializationContext = () => {
      const context = new AC.SerializationContext();
      context.setActionRegistry(actions);
      return context;
    };
    applet.onPrepareActivityRequest = () => {
      this.say("");
      return true;
    };
    applet.onActivityRequestSucceeded = (_, response, content) => {
      this.say(typeof content === "string" ? content : "");
    };
    applet.onActivityRequestFailed = (_, response) => this.failed(response);
    applet.onAction = (_, action) => this.other(action);
    return applet;
  }

  /** Show the message as it stands, and what the bot has for `me` instead if it is named. */
  async show(content, me) {
    this.current = content;
    this.say("");
    this.applet.setCard(content);
    if (!(content.refresh?.userIds ?? []).includes(me) || !content.refresh.action) return;
    const answer = await this.act({ do: "invoke", action: content.refresh.action, trigger: "automatic" });
    if (this.current === content && answer.outcome === "card") this.applet.setCard(answer.value);
  }

  /** What "Refresh card" in a message's menu does. */
  refresh() {
    this.applet.refreshCard();
  }

  say(text, kind = "status") {
    this.inline.setAttribute("role", kind);
    this.inline.textContent = text;
    if (text) this.inline.scrollIntoView({ block: "nearest" });
  }

  failed(response) {
    if (response.error.code === "error") {
      this.say(`Something went wrong: ${response.error.message ?? "no reason given"}`, "alert");
      return -1;
    }
    const last = response.request.attemptNumber >= AC.GlobalSettings.applets.maximumRetryAttempts;
    this.say(last ? "Unable to reach app. Please try again." : "Trying again…", last ? "alert" : "status");
    return RETRY_IN_MS;
  }

  async other(action) {
    if (action instanceof AC.OpenUrlAction) {
      window.open(action.url, "_blank", "noreferrer");
    } else if (action instanceof AC.SubmitAction && !(action instanceof AC.ExecuteAction)) {
      const answer = await this.act({ do: "submit", value: action.data ?? {} });
      if (answer.status < 200 || answer.status > 202) this.say("Something went wrong. Please try again.", "alert");
    }
  }
}
