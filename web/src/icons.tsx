// SPDX-License-Identifier: Apache-2.0
// Line icons, 20 × 20, drawn in the colour of the text they stand beside.
import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
    return (
        <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round">
            {children}
        </svg>
    );
}

export const OpenIcon = () => <Icon><path d="M6 4.5v11l9-5.5z" /></Icon>;
export const LikeIcon = () => <Icon><path d="M10 16.5S3.5 12.6 3.5 8.2A3.4 3.4 0 0 1 10 6.8a3.4 3.4 0 0 1 6.5 1.4C16.5 12.6 10 16.5 10 16.5z" /></Icon>;
export const DislikeIcon = () => <Icon><path d="M6.5 3.5v8M6.5 11.5 9.5 17c1.4 0 2-1 1.7-2.3l-.7-3.2h4.3c1 0 1.7-.9 1.5-1.9l-.9-4.5c-.2-.9-1-1.6-1.9-1.6h-7zM6.5 3.5h-3v8h3" /></Icon>;
export const HideIcon = () => <Icon><path d="M3 10s2.6-4.5 7-4.5S17 10 17 10s-2.6 4.5-7 4.5S3 10 3 10zM4 16 16 4" /></Icon>;
export const WhyIcon = () => <Icon><path d="M4 16V9M10 16V4M16 16v-5" /></Icon>;
export const CloseIcon = () => <Icon><path d="m5.5 5.5 9 9m0-9-9 9" /></Icon>;
export const UpIcon = () => <Icon><path d="M10 15.5v-11m-4 4 4-4 4 4" /></Icon>;
export const DownIcon = () => <Icon><path d="M10 4.5v11m-4-4 4 4 4-4" /></Icon>;
export const BoltIcon = () => <Icon><path d="M11 3 5 11.5h4.5L9 17l6-8.5h-4.5z" /></Icon>;
export const PersonIcon = () => <Icon><path d="M10 10a3 3 0 1 0 0-6 3 3 0 0 0 0 6zm-6 6.5c.6-3 3-4.5 6-4.5s5.4 1.5 6 4.5" /></Icon>;

export function Mark() {
    return (
        <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false" fill="none" stroke-width="3.2" stroke-linecap="round">
            <path class="mark-a" d="M3 12c4.3-6 8.7-6 13 0s8.7 6 13 0" />
            <path class="mark-b" d="M3 21c4.3-6 8.7-6 13 0s8.7 6 13 0" />
        </svg>
    );
}
