// SPDX-License-Identifier: Apache-2.0
// One recommended title. The card is one stop in the list's roving focus; its keys do what its
// buttons do.
import type { VNode } from "preact";
import type { Change } from "./diff";
import { Cover } from "./cover";
import { DislikeIcon, DownIcon, HideIcon, LikeIcon, OpenIcon, UpIcon, WhyIcon } from "./icons";
import { mainReason, Reasons } from "./reasons";
import type { Recommended } from "./types";

export type Action = "open" | "like" | "dislike" | "hide" | "why";

export const keys: Record<string, Action> = { Enter: "open", l: "like", d: "dislike", h: "hide", w: "why" };

function Badge({ change }: { change: Change | undefined }) {
    if (!change || change.kind === "same") return null;
    if (change.kind === "new") return <span class="badge new">new here</span>;
    const up = change.kind === "up";
    return (
        <span class={`badge ${change.kind}`}>
            {up ? <UpIcon /> : <DownIcon />}
            <span class="unseen">moved {change.kind} by </span>
            {change.by}
        </span>
    );
}

export function Chips({ categories, max = 3 }: { categories: string[]; max?: number }) {
    return (
        <ul class="chips">
            {categories.slice(0, max).map((c) => <li key={c}>{c}</li>)}
            {categories.length > max && <li title={categories.slice(max).join(", ")}>+{categories.length - max}</li>}
        </ul>
    );
}

interface Props {
    item: Recommended;
    change: Change | undefined;
    cause: string;
    isTabStop: boolean;
    isExplained: boolean;
    onAction: (action: Action) => void;
}

export function Card({ item, change, cause, isTabStop, isExplained, onAction }: Props) {
    const isCaused = cause !== "" && mainReason(item)?.item === cause;
    const tab = isTabStop ? 0 : -1;
    const button = (action: Action, label: string, icon: VNode, text = "") => (
        <button type="button" class={`act ${action}`} tabIndex={tab} aria-label={`${label}: ${item.title}`} title={text ? undefined : label} onClick={() => onAction(action)}>
            {icon}
            {text && <span aria-hidden="true">{text}</span>}
        </button>
    );
    return (
        <li
            data-id={item.id}
            class={`card${isCaused ? " caused" : ""}${isExplained ? " explained" : ""}${change?.kind === "new" ? " arrived" : ""}`}
            tabIndex={tab}
            aria-label={`${item.rank}. ${item.title}. ${mainReason(item)?.text ?? ""}`}
            aria-keyshortcuts="Enter L D H W"
            onKeyDown={(e) => {
                const action = keys[e.key];
                if (!action || e.target !== e.currentTarget || e.ctrlKey || e.metaKey || e.altKey) return;
                e.preventDefault();
                onAction(action);
            }}
        >
            <Cover item={item} />
            <div class="body">
                <div class="head">
                    <h3>{item.title}</h3>
                    <Badge change={change} />
                </div>
                <Chips categories={item.categories} />
                <Reasons reasons={item.reasons} cause={cause} />
            </div>
            <div class="acts">
                {button("open", "Open", <OpenIcon />, "Open")}
                {button("like", "Like", <LikeIcon />)}
                {button("dislike", "Dislike", <DislikeIcon />)}
                {button("hide", "Hide without judging", <HideIcon />)}
                {button("why", "Why is this here", <WhyIcon />, "Why")}
            </div>
        </li>
    );
}
