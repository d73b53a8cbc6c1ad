/** Exit codes of the thumbnail process, by what they mean; 0 is success. */
export const thumbnailExits = { unreadable: 2, tooLarge: 3, unavailable: 4 } as const

/** Why the process made no thumbnail: not an image that is understood; too many pixels; no image library here. */
export type ThumbnailExit = keyof typeof thumbnailExits
